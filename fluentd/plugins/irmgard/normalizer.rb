# frozen_string_literal: true

require_relative 'foreign'
require_relative 'json_line'
require_relative 'level'
require_relative 'own'
require_relative 'postgres'
require_relative 'rabbitmq'
require_relative 'schema'

module Irmgard
  # From a record of Irmgard::Container, with what kubernetes_metadata has added, to a document of the one shape.
  # The crate `line` (logging/line) does the same for files; `golden/` holds both to it.
  module Normalizer
    COLOUR = /\e\[[0-9;:]*m/
    COMPONENT_LABELS = %w[app.kubernetes.io/name k8s-app app].freeze
    OWN_LABELS = ['app.kubernetes.io/', 'irmgard.dev/'].freeze

    module_function

    # `node`: the name of the node that this runs on, or nil.
    def document(record, node = nil)
      tags = record['tags']
      document = read(record, tags)
      content = document.content
      content['@timestamp'] ||= record['time']
      document.own('log.iostream', record['stream']) if record['stream']
      document.own('event.id', record['id'])
      document.truncated if tags.include?('cut')
      content['tags'] = tags.sort unless tags.empty?
      kubernetes(content, record, node) if record['pod']
      content['_stream'] = Schema.stream(content['component'])
      document.finish
    end

    def read(record, tags)
      text = record['line']
      return unmatched(text) if tags.include?('unmatched-cri')
      return plain(text) unless text.start_with?('{')

      object = JsonLine.object(text)
      return json(object, text) if object

      tags << 'unparsed-json'
      plain(text)
    end

    # What the container runtime has not written.
    def unmatched(text)
      Document.new.tap { |document| document.own('message', text) }
    end

    def json(object, text)
      if Own.line?(object) then Own.read(object)
      elsif Postgres.line?(object) then Postgres.read(object)
      elsif Rabbitmq.line?(object) then Rabbitmq.read(object)
      else Foreign.read(object, text)
      end
    end

    def plain(text)
      text = text.gsub(COLOUR, '') if text.include?("\e")
      document = Document.new
      document.own('message', text)
      document.set('level', Level.of_text(text))
      document
    end

    # What is known of the pod takes the place of all that the line says of itself.
    def kubernetes(content, record, node)
      pod = record['pod']
      metadata = record['kubernetes'] || {}
      labels = metadata['labels'] || {}
      block = {
        'namespace' => pod['namespace'], 'pod' => pod['pod'], 'pod_uid' => pod['uid'], 'container' => pod['container']
      }
      block['node'] = metadata['host'] || node if metadata['host'] || node
      own, other = labels.partition { |name, _| name.start_with?(*OWN_LABELS) }
      block['labels'] = own.to_h { |name, value| [name.tr('.', '_'), value] } unless own.empty?
      block['other_labels'] = other.to_h unless other.empty?
      content['kubernetes'] = block
      content['component'] = component(labels, pod)
    end

    def component(labels, pod)
      COMPONENT_LABELS.each do |label|
        name = labels[label]
        return name if name && !name.empty?
      end
      pod['container']
    end
  end
end
